/* A small sound spool to damage, and all that is then done with it. */
#ifndef MX_TESTS_FUZZ_WORLD_H
#define MX_TESTS_FUZZ_WORLD_H

#include <stdbool.h>
#include <stddef.h>

/* Put the sound spool (three messages, five units) into fuzz_directory(). */
void world_restore(void);
/* Its data file, and how long that is when it is sound. */
const char *world_data_path(void);
size_t world_data_bytes(void);

/* Everything mx20ctl does without the daemon.  sound: it must work. */
void world_run_reader(bool sound);
/*
 * Start on it, read it, settle and operate on every unit, add a message, stop.
 * Anything may be refused, but nothing crashes or hangs, and every request is
 * answered once.
 */
void world_run_daemon(void);

#endif
