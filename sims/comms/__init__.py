"""The network that carries messages: latency, queues, loss, outages."""
