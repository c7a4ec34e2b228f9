/* What ThreadSanitizer is to know of mx20d: linked with SAN=thread. */

const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);

/* It does not know pthread_clockjoin_np, and takes a joined thread for lost. */
const char *__tsan_default_options(void)
{
	return "report_thread_leaks=0";
}

/* Libraries that are built without it: it does not see their locks. */
const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:libunbound.so\n"
	       "called_from_lib:libcurl.so\n"
	       "called_from_lib:libevent\n";
}
