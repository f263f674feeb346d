"""XNOR-popcounts: counts of the positions in which two words differ, as behavioural trees or ECP5 carry chains."""
