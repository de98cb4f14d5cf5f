"""Problems in small TOML files, which `kutta solve` reads."""
