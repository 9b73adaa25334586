"""`make mutants`: changes the code in small ways and reports which changes the unit tests do not notice."""
