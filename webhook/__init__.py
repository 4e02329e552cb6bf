"""The guard: the admission webhook that lets nobody but the service write what it generates.

It uses ``toolset`` and ``process``; ``sidecar`` and it never import each other.
"""
