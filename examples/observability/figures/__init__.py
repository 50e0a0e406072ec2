"""Traffic of a client and a server, and the figures that it leaves in Prometheus' format."""
