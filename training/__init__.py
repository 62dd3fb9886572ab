"""The torch side: data, reference filter, network, training and evaluation."""
