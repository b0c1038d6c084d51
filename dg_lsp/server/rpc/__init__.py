"""JSON-RPC: framing, transports, and what pygls leaves open."""
