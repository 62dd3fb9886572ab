"""The command line, one file a command.

A module here that has ``add_arguments`` and ``run`` is a command of its name; ``main.Command`` says
what else it holds. The others hold what several commands share.
"""
