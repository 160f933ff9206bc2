"""The same model behind other servers, each in its own environment; see `bench.contenders`."""
