"""What `kutta demo` does: parameters of an ODE from a real record, and a neural ODE classifier."""
