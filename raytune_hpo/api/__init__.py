"""The user's API: ``Tuner``, ``tune``, ``simulate``, ``Study``, ``Run``, ``load``, ``attach`` and callbacks."""
