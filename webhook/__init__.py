"""The guard: the admission webhook that lets nobody but the service write what it generates.

Nothing is here yet; the package marks the room, so that the direction of imports
(``webhook`` and ``sidecar`` use ``toolset``, never each other) can be checked from the start.
"""
