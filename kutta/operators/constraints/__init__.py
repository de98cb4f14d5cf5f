"""Networks whose predictions fulfil an equation."""
