"""The flows of Kintsugi, their typed parameters, and the command line. Wiring only."""
