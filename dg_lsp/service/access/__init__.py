"""Who may use an engine over the network, and how much: tokens, certificates and limits."""
