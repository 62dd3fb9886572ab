"""The exported network: artifacts, contract, execution providers, sessions."""
