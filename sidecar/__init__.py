"""The process: sees Services, has them proven, renders the toolset and publishes it."""
