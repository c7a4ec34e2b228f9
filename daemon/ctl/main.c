/* mx20ctl: what the operator asks and orders. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/nearest.h"

enum { /* what a verb takes */
       TAKES_ARGUMENT = 1,
       NEEDS_ARGUMENT = 2,
       TAKES_DOMAIN = 4, /* --domain instead of the argument */
       TAKES_RAW = 8,
       TAKES_REASON = 16,
       TAKES_MANY = 32, /* several arguments */
       TAKES_DESTINATION = 64,
       TAKES_ALL = 128,
       TAKES_FORCE = 512, /* and --dry-run */
       TAKES_CLIENT = 4096, /* --client, --helo, --from, --to */
       TAKES_ALARM = 1024, /* instead of an argument */
       TAKES_FORGET = 2048, /* or --recheck */
       NEEDS_ONE = 256,	  /* an argument or one of these options */
       TAKES_UNITS = TAKES_ARGUMENT | TAKES_MANY | TAKES_DOMAIN |
		     TAKES_DESTINATION | NEEDS_ONE,
};

struct verb {
	const char *name;
	unsigned takes;
	enum ctl_exit (*run)(struct ctl *ctl);
	const char *usage;
	const char *help;
};

#define WHICH "ID...|--domain D|--destination NAME"

/* clang-format off */
static const struct verb verbs[] = {
	{ "status", TAKES_ARGUMENT | TAKES_DESTINATION | TAKES_ALARM, ctl_status,
	  "[DOMAIN|--destination NAME|--alarm]",
	  "what waits for which domain, why, and until when" },
	{ "queue", TAKES_ARGUMENT, ctl_queue, "[DOMAIN]",
	  "every message that waits, with its recipients" },
	{ "show", NEEDS_ARGUMENT | TAKES_RAW, ctl_show, "ID [--raw]",
	  "one message whole" },
	{ "refused", TAKES_ARGUMENT, ctl_refused, "[DOMAIN]",
	  "what primaries refused and nobody was told of" },
	{ "outages", TAKES_ARGUMENT, ctl_outages, "[DOMAIN]",
	  "when destinations were down, and what that cost" },
	{ "route", NEEDS_ARGUMENT, ctl_route, "DOMAIN",
	  "where a domain's mail goes, and how safely" },
	{ "recipient", NEEDS_ARGUMENT | TAKES_FORGET, ctl_recipient,
	  "ADDRESS [--forget|--recheck]",
	  "whether it is a recipient, and who says so" },
	{ "explain", TAKES_CLIENT, ctl_explain,
	  "--client IP [--helo NAME] [--from ADDRESS] --to ADDRESS",
	  "what this client would hear, and why" },
	{ "flush", TAKES_ARGUMENT | TAKES_MANY | TAKES_DESTINATION, ctl_flush,
	  "[DOMAIN|ID...|--destination NAME]", "probe and try again now" },
	{ "hold", TAKES_UNITS | TAKES_REASON, ctl_surgery, WHICH,
	  "keep mail from being delivered" },
	{ "release", TAKES_UNITS | TAKES_ALL, ctl_surgery, WHICH,
	  "let held mail go" },
	{ "remove", TAKES_UNITS, ctl_surgery, WHICH,
	  "forget mail; nobody is told" },
	{ "bounce", TAKES_UNITS, ctl_surgery, WHICH,
	  "give mail up and report it to its senders" },
	{ "reload", TAKES_FORCE, ctl_reload, "[--dry-run] [--force]",
	  "read the configuration and the allowlist again" },
};
/* clang-format on */

static const char default_config[] = "/etc/mx20/mx20.conf";

/* ---- The command line ---- */

static void print_help(FILE *out)
{
	fputs("usage: mx20ctl [-c FILE] VERB [--json]\n\n", out);
	for (size_t i = 0; i < COUNT(verbs); i++) {
		int n = fprintf(out, "  %s %s", verbs[i].name, verbs[i].usage);

		fprintf(out, "%s%*s%s\n", n < 26 ? "" : "\n",
			n < 26 ? 26 - n : 26, "", verbs[i].help);
	}
	fprintf(out,
		"\n"
		"  -c, --config FILE  default %s\n"
		"      --json         for programs\n"
		"      --domain D     all mail of a domain, or of '*.D'\n"
		"      --destination NAME\n"
		"                     all mail that goes to a host\n"
		"      --reason TEXT  hold: shown by status, queue and show\n"
		"      --client IP, --helo NAME, --from ADDRESS, --to ADDRESS\n"
		"                     explain: who comes, and with what\n"
		"      --all          release: also what was held by its id\n"
		"      --alarm        status: only what needs a person; exit 1 "
		"if anything does\n"
		"      --raw          show: the content as it is\n"
		"      --dry-run      reload: only say what would change\n"
		"      --force        reload: take what looks like an "
		"accident\n"
		"      --forget       recipient: what is known of him\n"
		"      --recheck      recipient: ask his primary now\n"
		"  -y, --yes          do not ask\n"
		"      --help, --version\n\n"
		"exit: 0 done, 1 failed, 2 usage, 3 mx20d does not answer\n"
		"See mx20ctl(8).\n",
		default_config);
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < COUNT(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void complain_of_verb(const char *name)
{
	const struct verb *nearest = NULL;
	unsigned least = NEAREST_FAR;

	for (size_t i = 0; i < COUNT(verbs); i++) {
		unsigned d = nearest_distance(name, verbs[i].name);

		if (d >= least)
			continue;
		least = d;
		nearest = &verbs[i];
	}
	if (nearest != NULL && nearest_is_near(name, least))
		ctl_complain("there is no verb \"%s\"; did you mean \"%s\"?",
			     name, nearest->name);
	else
		ctl_complain("there is no verb \"%s\"; see mx20ctl --help",
			     name);
}

/* What is wrong with this use of the verb; NULL: nothing. */
static const char *misuse(const struct verb *v, const struct ctl *ctl)
{
	bool has_argument = ctl->argument != NULL;

	if (has_argument && !(v->takes & (TAKES_ARGUMENT | NEEDS_ARGUMENT)))
		return "takes no argument";
	if (!has_argument && v->takes & NEEDS_ARGUMENT)
		return "needs an argument";
	if (ctl->argument_count > 1 && !(v->takes & TAKES_MANY))
		return "takes one argument at most";
	if (ctl->domain != NULL && !(v->takes & TAKES_DOMAIN))
		return "takes no --domain";
	if (ctl->destination != NULL && !(v->takes & TAKES_DESTINATION))
		return "takes no --destination";
	if (has_argument + (ctl->domain != NULL) + (ctl->destination != NULL) >
	    1)
		return "is about one thing at a time";
	if (v->takes & NEEDS_ONE && !has_argument && ctl->domain == NULL &&
	    ctl->destination == NULL)
		return "needs an ID, --domain or --destination";
	if (ctl->all && !(v->takes & TAKES_ALL))
		return "takes no --all";
	if (ctl->alarm && !(v->takes & TAKES_ALARM))
		return "takes no --alarm";
	if (ctl->alarm && (has_argument || ctl->destination != NULL))
		return "is about everything with --alarm";
	if ((ctl->client != NULL || ctl->helo != NULL || ctl->from != NULL ||
	     ctl->to != NULL) && !(v->takes & TAKES_CLIENT))
		return "takes no --client, --helo, --from or --to";
	if (v->takes & TAKES_CLIENT && (ctl->client == NULL || ctl->to == NULL))
		return "needs --client and --to";
	if (ctl->raw && !(v->takes & TAKES_RAW))
		return "takes no --raw";
	if (ctl->reason != NULL && !(v->takes & TAKES_REASON))
		return "takes no --reason";
	if ((ctl->force || ctl->dry_run) && !(v->takes & TAKES_FORCE))
		return "takes neither --force nor --dry-run";
	if ((ctl->forget || ctl->recheck) && !(v->takes & TAKES_FORGET))
		return "takes neither --forget nor --recheck";
	if (ctl->forget && ctl->recheck)
		return "takes --forget or --recheck";
	return NULL;
}

enum {
	OPT_JSON = 256,
	OPT_DOMAIN,
	OPT_DESTINATION,
	OPT_REASON,
	OPT_CLIENT,
	OPT_HELO,
	OPT_FROM,
	OPT_TO,
	OPT_RAW,
	OPT_ALL,
	OPT_ALARM,
	OPT_DRY_RUN,
	OPT_FORCE,
	OPT_FORGET,
	OPT_RECHECK,
	OPT_HELP,
	OPT_VERSION
};

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "domain", required_argument, NULL, OPT_DOMAIN },
	{ "destination", required_argument, NULL, OPT_DESTINATION },
	{ "client", required_argument, NULL, OPT_CLIENT },
	{ "helo", required_argument, NULL, OPT_HELO },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "to", required_argument, NULL, OPT_TO },
	{ "all", no_argument, NULL, OPT_ALL },
	{ "alarm", no_argument, NULL, OPT_ALARM },
	{ "reason", required_argument, NULL, OPT_REASON },
	{ "raw", no_argument, NULL, OPT_RAW },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "yes", no_argument, NULL, 'y' },
	{ "forget", no_argument, NULL, OPT_FORGET },
	{ "recheck", no_argument, NULL, OPT_RECHECK },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* Where an option goes. */
static const struct {
	int c;
	size_t at;
} switches[] = {
	{ 'y', offsetof(struct ctl, yes) },
	{ OPT_JSON, offsetof(struct ctl, json) },
	{ OPT_ALL, offsetof(struct ctl, all) },
	{ OPT_ALARM, offsetof(struct ctl, alarm) },
	{ OPT_RAW, offsetof(struct ctl, raw) },
	{ OPT_DRY_RUN, offsetof(struct ctl, dry_run) },
	{ OPT_FORCE, offsetof(struct ctl, force) },
	{ OPT_FORGET, offsetof(struct ctl, forget) },
	{ OPT_RECHECK, offsetof(struct ctl, recheck) },
}, texts[] = {
	{ OPT_DOMAIN, offsetof(struct ctl, domain) },
	{ OPT_DESTINATION, offsetof(struct ctl, destination) },
	{ OPT_REASON, offsetof(struct ctl, reason) },
	{ OPT_CLIENT, offsetof(struct ctl, client) },
	{ OPT_HELO, offsetof(struct ctl, helo) },
	{ OPT_FROM, offsetof(struct ctl, from) },
	{ OPT_TO, offsetof(struct ctl, to) },
};

/* One option; false: it is none. */
static bool take_option(int c, struct ctl *ctl, const char **path)
{
	for (size_t i = 0; i < COUNT(switches); i++)
		if (switches[i].c == c)
			return *(bool *)((char *)ctl + switches[i].at) = true;
	for (size_t i = 0; i < COUNT(texts); i++) {
		if (texts[i].c != c)
			continue;
		*(const char **)((char *)ctl + texts[i].at) = optarg;
		return true;
	}
	switch (c) {
	case 'c':
		*path = optarg;
		return true;
	case OPT_HELP:
		print_help(stdout);
		exit(fflush(stdout) == 0 ? CTL_DONE : CTL_FAILED);
	case OPT_VERSION:
		puts("mx20ctl " MX_VERSION);
		exit(fflush(stdout) == 0 ? CTL_DONE : CTL_FAILED);
	default:
		return false;
	}
}

/* NULL: not to be used like this; it has been said. */
static const struct verb *parse(int argc, char **argv, struct ctl *ctl,
				const char **path)
{
	const struct verb *v;
	const char *wrong;
	int c;

	while ((c = getopt_long(argc, argv, "c:y", options, NULL)) != -1)
		if (!take_option(c, ctl, path)) {
			/* getopt has said what */
			ctl_complain("see mx20ctl --help");
			return NULL;
		}
	if (optind == argc) {
		print_help(stderr);
		return NULL;
	}
	ctl->verb = argv[optind++];
	v = verb_find(ctl->verb);
	if (v == NULL) {
		complain_of_verb(ctl->verb);
		return NULL;
	}
	if (optind < argc)
		ctl->argument = argv[optind];
	ctl->arguments = argv + optind;
	ctl->argument_count = (size_t)(argc - optind);
	wrong = misuse(v, ctl);
	if (wrong == NULL)
		return v;
	ctl_complain("%s %s: mx20ctl %s %s", v->name, wrong, v->name, v->usage);
	return NULL;
}

/* 0: no terminal, so that whole lines go to files and pipes. */
static size_t terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

static bool load_config(struct ctl *ctl, const char *path)
{
	struct config_errors errors = { 0 };

	ctl->config = config_load_settings(path, &errors);
	if (ctl->config == NULL) {
		fflush(stdout);
		fwrite(errors.text.p, 1, errors.text.n, stderr);
		if (errors.text.n > 0 &&
		    errors.text.p[errors.text.n - 1] != '\n')
			fputc('\n', stderr);
	}
	config_errors_fini(&errors);
	return ctl->config != NULL;
}

/* A reader that left (queue | head) is no failure. */
static enum ctl_exit finish(enum ctl_exit rc)
{
	int errnum = ctl_flush_output();

	if (errnum == 0 || errnum == EPIPE)
		return rc;
	ctl_complain("cannot write: %s", strerrordesc_np(errnum));
	return CTL_FAILED;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	const char *path = default_config;
	const struct verb *v;
	enum ctl_exit rc;

	signal(SIGPIPE, SIG_IGN); /* writes say EPIPE instead */
	v = parse(argc, argv, &ctl, &path);
	if (v == NULL)
		return CTL_USAGE;
	if (!load_config(&ctl, path))
		return CTL_FAILED;
	ctl.now_ms = clock_wall_ms();
	ctl.width = terminal_width();
	rc = v->run(&ctl);
	config_unref(&ctl.config);
	return (int)finish(rc);
}
