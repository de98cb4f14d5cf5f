"""The search for a solver schedule that suits a model and a number of evaluations."""
