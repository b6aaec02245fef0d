/* The scenes of forks.c in a program that has a vfork of its own, as one with AddressSanitizer. */
#define OWN_VFORK "vfork"
#define own_vfork vfork
#include "forks.c"
