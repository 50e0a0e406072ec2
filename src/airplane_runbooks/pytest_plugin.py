"""The pytest plugin under its former name, for environments whose installation is older than the present one."""

from importlib import import_module

airplane_server = import_module("airplane_runbooks_pytest").airplane_server
