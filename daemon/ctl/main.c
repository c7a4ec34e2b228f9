/* mx20ctl: what the operator asks and orders. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/nearest.h"
#include "daemon/ctl/print.h"

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
       TAKES_FORCE_ALONE = 32768,
       TAKES_CLIENT = 4096, /* --client, --helo, --from, --to, --size */
       TAKES_ALARM = 1024, /* instead of an argument */
       TAKES_FORGET = 2048, /* or --recheck */
       TAKES_TIMES = 16384, /* --since, --until */
       TAKES_FILTER = 8192, /* --from, --to, --older ... */
       NEEDS_ALL = 65536, /* a configuration without faults */
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
	{ "top", 0, ctl_top, "", "the same, live, for a terminal" },
	{ "queue", TAKES_ARGUMENT | TAKES_FILTER, ctl_queue,
	  "[DOMAIN] [--from A] [--to A] [--older TIME] [--state S] [--sort S]"
	  " [--limit N]",
	  "every message that waits, with its recipients" },
	{ "find", NEEDS_ARGUMENT, ctl_find, "WORD",
	  "mail by an address, an id, or the primary's queue id" },
	{ "show", NEEDS_ARGUMENT | TAKES_RAW, ctl_show, "ID [--raw]",
	  "one message whole" },
	{ "refused", TAKES_ARGUMENT, ctl_refused, "[DOMAIN]",
	  "what primaries refused and nobody was told of" },
	{ "outages", TAKES_ARGUMENT, ctl_outages, "[DOMAIN]",
	  "when destinations were down, and what that cost" },
	{ "summary", TAKES_TIMES, ctl_summary, "[--since TIME] [--until TIME]",
	  "what was done in the last 24 hours" },
	{ "route", NEEDS_ARGUMENT, ctl_route, "DOMAIN",
	  "where a domain's mail goes, and how safely" },
	{ "recipient", NEEDS_ARGUMENT | TAKES_FORGET, ctl_recipient,
	  "ADDRESS [--forget|--recheck]",
	  "whether it is a recipient, and who says so" },
	{ "explain", TAKES_CLIENT, ctl_explain,
	  "--client IP [--helo NAME] [--from ADDRESS] [--size N] --to ADDRESS",
	  "what this client would hear, and why" },
	{ "check", TAKES_ARGUMENT | TAKES_MANY | TAKES_ALL | NEEDS_ALL,
	  ctl_check,
	  "[DOMAIN...] [--all]",
	  "whether this backup works, asked as the world would" },
	{ "flush", TAKES_ARGUMENT | TAKES_MANY | TAKES_DESTINATION, ctl_flush,
	  "[DOMAIN|ID...|--destination NAME]", "probe and try again now" },
	{ "hold", TAKES_UNITS | TAKES_REASON, ctl_surgery,
	  WHICH " [--reason TEXT]",
	  "keep mail from being delivered" },
	{ "release", TAKES_UNITS | TAKES_ALL, ctl_surgery, WHICH " [--all]",
	  "let held mail go" },
	{ "remove", TAKES_UNITS, ctl_surgery, WHICH,
	  "forget mail; nobody is told" },
	{ "bounce", TAKES_UNITS, ctl_surgery, WHICH,
	  "give mail up and report it to its senders" },
	{ "mirror", TAKES_ARGUMENT | TAKES_MANY | TAKES_FORCE_ALONE, ctl_mirror,
	  "[take NODE|leave [--force]]",
	  "the second copy, and the nodes that have one" },
	{ "reload", TAKES_FORCE, ctl_reload, "[--dry-run] [--force]",
	  "read the configuration and the allowlist again" },
};
/* clang-format on */

/* An option, what it fills in, and which verbs take it. */
struct choice {
	const char *name;
	int letter; /* 0: there is none */
	size_t at;  /* of the field */
	bool is_text;
	unsigned takes;
};

#define EVERY ~0U
#define SWITCH(field) offsetof(struct ctl, field), false
#define TEXT(field) offsetof(struct ctl, field), true

/* clang-format off */
static const struct choice choices[] = {
	{ "json",        0,   SWITCH(json),      EVERY },
	{ "yes",         'y', SWITCH(yes),       EVERY },
	{ "domain",      0,   TEXT(domain),      TAKES_DOMAIN },
	{ "destination", 0,   TEXT(destination), TAKES_DESTINATION },
	{ "reason",      0,   TEXT(reason),      TAKES_REASON },
	{ "client",      0,   TEXT(client),      TAKES_CLIENT },
	{ "helo",        0,   TEXT(helo),        TAKES_CLIENT },
	{ "from",        0,   TEXT(from),        TAKES_CLIENT | TAKES_FILTER },
	{ "to",          0,   TEXT(to),          TAKES_CLIENT | TAKES_FILTER },
	{ "size",        0,   TEXT(size),        TAKES_CLIENT },
	{ "older",       0,   TEXT(older),       TAKES_FILTER },
	{ "state",       0,   TEXT(state),       TAKES_FILTER },
	{ "sort",        0,   TEXT(sort),        TAKES_FILTER },
	{ "limit",       0,   TEXT(limit),       TAKES_FILTER },
	{ "since",       0,   TEXT(since),       TAKES_TIMES },
	{ "until",       0,   TEXT(until),       TAKES_TIMES },
	{ "all",         0,   SWITCH(all),       TAKES_ALL },
	{ "alarm",       0,   SWITCH(alarm),     TAKES_ALARM },
	{ "raw",         0,   SWITCH(raw),       TAKES_RAW },
	{ "dry-run",     0,   SWITCH(dry_run),   TAKES_FORCE },
	{ "force",       0,   SWITCH(force),     TAKES_FORCE | TAKES_FORCE_ALONE },
	{ "forget",      0,   SWITCH(forget),    TAKES_FORGET },
	{ "recheck",     0,   SWITCH(recheck),   TAKES_FORGET },
};
/* clang-format on */

enum { OPT_HELP = 256, OPT_VERSION, OPT_FIRST };

/* What getopt calls it. */
static int choice_letter(const struct choice *o)
{
	return o->letter != 0 ? o->letter : OPT_FIRST + (int)(o - choices);
}

static const struct choice *choice_find(int c)
{
	for (size_t i = 0; i < COUNT(choices); i++)
		if (choice_letter(&choices[i]) == c)
			return &choices[i];
	return NULL;
}

static bool choice_is_made(const struct choice *o, const struct ctl *ctl)
{
	const char *field = (const char *)ctl + o->at;

	return o->is_text ? *(const char *const *)(const void *)field != NULL
			  : *(const bool *)field;
}

static const char default_config[] = "/etc/mx20/mx20.conf";

/* ---- The command line ---- */

enum { HELP_AT = 26, HELP_WIDTH = 79 };

static void add_verb(struct buf *out, const struct verb *v)
{
	struct buf use = { 0 };

	buf_addf(&use, "  %s %s", v->name, v->usage);
	print_wrapped(out, buf_span(&use), HELP_WIDTH);
	if (use.n < HELP_AT)
		buf_addf(out, "%*s%s\n", (int)(HELP_AT - use.n), "", v->help);
	else
		buf_addf(out, "\n%*s%s\n", HELP_AT, "", v->help);
	buf_fini(&use);
}

static void add_options(struct buf *out)
{
	buf_addf(out,
		"\n"
		"  -c, --config FILE  default %s\n"
		"      --json         for programs\n"
		"      --domain D     all mail of a domain, or of '*.D'\n"
		"      --destination NAME\n"
		"                     all mail that goes to a host\n"
		"      --reason TEXT  hold: shown by status, queue and show\n"
		"      --client IP, --helo NAME, --from ADDRESS, --to ADDRESS,\n"
		"      --size N       explain: who comes, and with what\n"
		"      --from A, --to A\n"
		"                     queue: an address, @domain or a part; "
		"<> is no sender\n"
		"      --older TIME   queue: that came before: 30m 4h 3d\n"
		"      --state S,...  queue: ready deferred held unsettled "
		"refused\n"
		"      --sort S       queue: arrival newest size due tries "
		"from\n"
		"      --limit N      queue: so many at most\n"
		"      --since TIME, --until TIME\n"
		"                     summary: today, yesterday, 7d, "
		"2026-11-27\n"
		"      --all          release: also what was held by its id;\n"
		"                     check: also what is as it should be\n"
		"      --alarm        status: only what needs a person; exit 1 "
		"if anything does\n"
		"      --raw          show: the content as it is\n"
		"      --dry-run      reload: only say what would change\n"
		"      --force        reload: take what looks like an "
		"accident;\n"
		"                     mirror leave: though nobody else is "
		"there\n"
		"      --forget       recipient: what is known of him\n"
		"      --recheck      recipient: ask his primary now\n"
		"  -y, --yes          do not ask\n"
		"      --help, --version\n\n"
		"exit: 0 done, 1 failed, 2 usage, 3 mx20d does not answer\n"
		"See mx20ctl(8).\n",
		default_config);
}

static void print_help(FILE *to)
{
	struct buf text = { 0 }, lines = { 0 };

	buf_adds(&text, "usage: mx20ctl [-c FILE] VERB [--json]\n\n");
	for (size_t i = 0; i < COUNT(verbs); i++)
		add_verb(&text, &verbs[i]);
	add_options(&text);
	print_wrapped(&lines, buf_span(&text), ctl_width(to));
	fwrite(lines.p, 1, lines.n, to);
	buf_fini(&text);
	buf_fini(&lines);
}

static _Noreturn void help_and_exit(void)
{
	print_help(stdout);
	exit(fflush(stdout) == 0 ? CTL_DONE : CTL_FAILED);
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

/* What is wrong with the arguments; NULL: nothing. */
static const char *wrong_arguments(const struct verb *v, const struct ctl *ctl)
{
	bool has_argument = ctl->argument != NULL;
	int things = has_argument + (ctl->domain != NULL) +
		     (ctl->destination != NULL);

	if (has_argument && !(v->takes & (TAKES_ARGUMENT | NEEDS_ARGUMENT)))
		return "takes no argument";
	if (!has_argument && v->takes & NEEDS_ARGUMENT)
		return "needs an argument";
	if (ctl->argument_count > 1 && !(v->takes & TAKES_MANY))
		return "takes one argument at most";
	if (things > 1)
		return "is about one thing at a time";
	if (v->takes & NEEDS_ONE && things == 0)
		return "needs an ID, --domain or --destination";
	if (ctl->alarm && things > 0)
		return "is about everything with --alarm";
	if (v->takes & TAKES_CLIENT && (ctl->client == NULL || ctl->to == NULL))
		return "needs --client and --to";
	if (ctl->forget && ctl->recheck)
		return "takes --forget or --recheck";
	return NULL;
}

/* Append what is wrong with this use of the verb, if anything is. */
static bool is_misused(const struct verb *v, const struct ctl *ctl,
		       struct buf *why)
{
	const char *wrong;

	for (size_t i = 0; i < COUNT(choices); i++) {
		const struct choice *o = &choices[i];

		if (!choice_is_made(o, ctl) || o->takes == EVERY ||
		    v->takes & o->takes)
			continue;
		buf_addf(why, "takes no --%s", o->name);
		return true;
	}
	wrong = wrong_arguments(v, ctl);
	if (wrong != NULL)
		buf_adds(why, wrong);
	return wrong != NULL;
}

/* One option, unless main itself deals with it: its value, or that it is
 * there. */
static bool take_option(int c, struct ctl *ctl, const char **path)
{
	const struct choice *o = choice_find(c);
	char *field = o != NULL ? (char *)ctl + o->at : NULL;

	if (o != NULL && o->is_text)
		*(const char **)(void *)field = optarg;
	else if (o != NULL)
		*(bool *)field = true;
	if (o != NULL)
		return true;
	switch (c) {
	case 'c':
		*path = optarg;
		return true;
	case 'h':
	case OPT_HELP:
		help_and_exit();
	case OPT_VERSION:
		puts("mx20ctl " MX_VERSION);
		exit(fflush(stdout) == 0 ? CTL_DONE : CTL_FAILED);
	default:
		return false;
	}
}

/* As getopt wants them. */
static void fill_options(struct option *out)
{
	size_t n = COUNT(choices);

	for (size_t i = 0; i < n; i++)
		out[i] = (struct option){ choices[i].name,
					  choices[i].is_text ? required_argument
							     : no_argument,
					  NULL, choice_letter(&choices[i]) };
	out[n++] = (struct option){ "config", required_argument, NULL, 'c' };
	out[n++] = (struct option){ "help", no_argument, NULL, OPT_HELP };
	out[n++] = (struct option){ "version", no_argument, NULL, OPT_VERSION };
	out[n] = (struct option){ NULL, 0, NULL, 0 };
}

/* NULL: not to be used like this; it has been said. */
static const struct verb *parse(int argc, char **argv, struct ctl *ctl,
				const char **path)
{
	struct option options[COUNT(choices) + 4];
	const struct verb *v;
	struct buf wrong = { 0 };
	int c;

	fill_options(options);
	while ((c = getopt_long(argc, argv, "c:hy", options, NULL)) != -1)
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
	if (v == NULL && strcmp(ctl->verb, "help") == 0)
		help_and_exit();
	if (v == NULL) {
		complain_of_verb(ctl->verb);
		return NULL;
	}
	if (optind < argc)
		ctl->argument = argv[optind];
	ctl->arguments = argv + optind;
	ctl->argument_count = (size_t)(argc - optind);
	if (!is_misused(v, ctl, &wrong))
		return v;
	ctl_complain("%s %s: mx20ctl %s %s", v->name, buf_cstr(&wrong), v->name,
		     v->usage);
	buf_fini(&wrong);
	return NULL;
}

/*
 * The daemon goes on with what was right: it can be asked, and what it holds be
 * looked at, while the file is being mended.  Of a reload it says itself what
 * is wrong.
 */
static bool load_config(struct ctl *ctl, const char *path, const struct verb *v)
{
	struct config_errors errors = { 0 };
	bool ok;

	ctl->config = config_load_part(path, &errors);
	ok = ctl->config != NULL &&
	     (errors.count == 0 || !(v->takes & NEEDS_ALL));
	if (errors.count > 0 && (!ok || v->run != ctl_reload))
		fwrite(errors.text.p, 1, errors.text.n, stderr);
	config_errors_fini(&errors);
	return ok;
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
	if (!load_config(&ctl, path, v))
		return CTL_FAILED;
	ctl.now_ms = clock_wall_ms();
	ctl_output(&ctl);
	rc = v->run(&ctl);
	config_unref(&ctl.config);
	return (int)finish(rc);
}
