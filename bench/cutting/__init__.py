"""Programs as other CAMs write them, honest and spoiled, to try the metrology of cut parts with."""
