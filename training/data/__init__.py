"""From a data folder to what a network is fed and measured with."""
