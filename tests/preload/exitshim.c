/*
 * exitshim: an LD_PRELOAD library that has a thread give back what is OpenSSL's
 * while the process ends.
 *
 * The first call of SSL_CTX_free by a thread other than the first says so on
 * stderr and waits for the end.  When the functions of atexit(3) have run, it
 * must find OpenSSL as it was: else the exit status is TAKEN_AWAY.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 20000, LOOK_MS = 1, TAKEN_AWAY = 99 };

static atomic_bool is_inside, is_ending, is_through;

static bool wait_for(atomic_bool *what)
{
	const struct timespec look = { .tv_nsec = LOOK_MS * 1000000L };

	for (int ms = 0; ms < WAIT_MS && !atomic_load(what); ms += LOOK_MS)
		nanosleep(&look, NULL);
	return atomic_load(what);
}

static bool is_chosen(void)
{
	bool is_first = false;

	return gettid() != getpid() &&
	       atomic_compare_exchange_strong(&is_inside, &is_first, true);
}

void SSL_CTX_free(void *ctx)
{
	static const char said[] = "exitshim: in SSL_CTX_free\n";
	bool waits = is_chosen();
	void (*real)(void *);

	*(void **)&real = dlsym(RTLD_NEXT, "SSL_CTX_free");
	if (waits) {
		(void)!write(STDERR_FILENO, said, sizeof(said) - 1);
		(void)wait_for(&is_ending);
	}
	real(ctx);
	if (waits)
		atomic_store(&is_through, true);
}

/* OpenSSL's own look at whether it is there still. */
static bool is_there(void)
{
	int (*init)(uint64_t, const void *);

	*(void **)&init = dlsym(RTLD_DEFAULT, "OPENSSL_init_crypto");
	return init(0, NULL) == 1;
}

__attribute__((destructor)) static void end(void)
{
	if (!atomic_load(&is_inside))
		return;
	if (!is_there())
		_exit(TAKEN_AWAY);
	atomic_store(&is_ending, true);
	if (!wait_for(&is_through))
		_exit(TAKEN_AWAY);
}
