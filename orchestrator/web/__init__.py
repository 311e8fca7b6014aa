"""What all pages share: base templates, forms, slots and problem answers. It knows no noun."""
