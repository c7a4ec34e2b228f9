/*
 * mx20.conf: the input is the file.
 *
 * - Either there is a configuration or there are errors that name the file.
 */
#include "config/config.h"

#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz.h"

/* libconfig's scanner forgets a string that the file never ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

/* What the loader promises to have put in order. */
static void check_config(const struct config *c)
{
	FUZZ_CHECK(c->hostname.n > 0 && c->hostname.n <= 253);
	FUZZ_CHECK(c->domains_path.n > 0);
	FUZZ_CHECK(c->listen_count > 0);
	FUZZ_CHECK(c->limits.recipients > 0 && c->limits.message_bytes > 0);
	FUZZ_CHECK(c->drain.retry_count > 0 && c->drain.retry_ms[0] > 0);
	FUZZ_CHECK(c->spool.lifetime_ms > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_errors errors = { 0 };
	struct buf path = { 0 };
	struct config *c;

	/* other files are not this target's */
	if (memmem(data, size, "@include", 8) != NULL)
		return 0;
	buf_addf(&path, "%s/mx20.conf", fuzz_directory());
	fuzz_file("mx20.conf", span_of(data, size));
	c = config_load_settings(buf_cstr(&path), &errors);
	FUZZ_CHECK((c != NULL) == (errors.count == 0));
	FUZZ_CHECK((errors.count > 0) == (errors.text.n > 0));
	if (errors.count > 0)
		FUZZ_CHECK(
			span_starts(buf_span(&errors.text), buf_span(&path)));
	if (c != NULL)
		check_config(c);
	config_unref(&c);
	config_errors_fini(&errors);
	buf_fini(&path);
	return 0;
}
