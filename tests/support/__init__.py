"""What tests are made of: bytes of radiographs, tiny models, clocks."""
