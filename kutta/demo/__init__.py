"""What `kutta demo` does: an ODE fitted to a record, a neural ODE classifier, samplers, and surrogates."""
