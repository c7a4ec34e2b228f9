/* LMDB trusts what it maps. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ctl/ctl.h"

static void on_crash(int signum)
{
	static const char text[] =
		"mx20ctl: the spool cannot be read: it is damaged, or was"
		" changed by something else than mx20d\n";

	(void)signum;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(CTL_FAILED);
}

void ctl_expect_crash(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT };
	struct sigaction now, ours = { .sa_handler = on_crash };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		/* a sanitizer has one of its own */
		if (sigaction(signals[i], NULL, &now) == 0 &&
		    now.sa_handler == SIG_DFL)
			sigaction(signals[i], &ours, NULL);
	}
}
