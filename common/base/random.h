/* Random numbers. */
#ifndef MX_BASE_RANDOM_H
#define MX_BASE_RANDOM_H

#include <stdint.h>

/* That nobody can foretell; for keys and nonces.  Thread-safe. */
uint64_t random_secret(void);

/*
 * The next of a series that is even and no secret: for order and jitter.  The
 * state is any number, and the same one gives the same series.
 */
uint64_t random_next(uint64_t *state);

#endif
