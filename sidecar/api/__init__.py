"""What is served on the http port: probes for the kubelet, an API for programs, a page for people."""
