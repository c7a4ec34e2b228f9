#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define DEFAULT_CONFIG "/etc/mx20/mx20.conf"

static const char usage_text[] =
	"usage: mx20d [-c FILE] [--check]\n"
	"\n"
	"  -c, --config FILE  the configuration (" DEFAULT_CONFIG ")\n"
	"      --check        print every error of the configuration and "
	"leave\n"
	"      --help         this text\n"
	"      --version      the version\n"
	"\n"
	"Runs in the foreground.  SIGHUP reloads, SIGTERM stops.\n";

struct options options_parse(int argc, char **argv)
{
	enum { CHECK = 256, HELP, VERSION };
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, CHECK },
		{ "help", no_argument, NULL, HELP },
		{ "version", no_argument, NULL, VERSION },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .config = DEFAULT_CONFIG };
	int c;

	while ((c = getopt_long(argc, argv, "c:", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config = optarg;
			break;
		case CHECK:
			o.check = true;
			break;
		case HELP:
			fputs(usage_text, stdout);
			exit(EX_OK);
		case VERSION:
			puts("mx20d " MX_VERSION);
			exit(EX_OK);
		default:
			fputs(usage_text, stderr);
			exit(EX_USAGE);
		}
	}
	if (optind < argc) {
		fputs(usage_text, stderr);
		exit(EX_USAGE);
	}
	return o;
}
