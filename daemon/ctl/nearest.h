/* What was meant by a word that was mistyped. */
#ifndef MX_CTL_NEAREST_H
#define MX_CTL_NEAREST_H

#include <stddef.h>

/*
 * How many letters are wrong, missing, too many, or stand in their neighbour's
 * place; no more than NEAREST_FAR.
 */
enum { NEAREST_FAR = 100 };
unsigned nearest_distance(const char *word, const char *other);
/* Is it near enough to ask whether that was meant?  Two faults, and less than
 * half of the word. */
int nearest_is_near(const char *word, unsigned distance);

#endif
