"""The domain: what a Service may be, how that is proven, and what HolmesGPT is told of it.

Pure functions over plain data. Nothing here opens a connection, reads a clock, or knows the
Kubernetes client; the only files read are the package's own catalogue.
"""

__version__ = "0.1.0"
