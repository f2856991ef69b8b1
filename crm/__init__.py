"""What a lead, touch, stage, opportunity and hand-off is, and what was known of them when."""
