"""The commands of this folder, one file a command; `runtime.cli` says what a command is."""
