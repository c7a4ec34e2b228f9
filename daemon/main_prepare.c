/* Before privileges are dropped: sockets, folders, descriptors. */
#include <sysexits.h>

#include "common/net/local.h"
#include "config/value/value.h"
#include "daemon/main_priv.h"
#include "daemon/privileges.h"

/* Descriptors beside those of the sessions: deliveries, LMDB, DNS, HTTPS. */
enum { OTHER_FILES = 4096, OTHER_FILES_MIN = 64 };

/* Of a Unix socket: ours, so that the socket can be removed at the end. */
static enum mx_err make_folder_of(const struct privileges *p, struct span path,
				  struct buf *why)
{
	while (path.n > 0 && path.p[path.n - 1] != '/')
		path.n--;
	if (path.n > 1)
		path.n--;
	return privileges_folder(p, path, 0755, why);
}

static enum mx_err make_folders(const struct privileges *p,
				const struct config *c, struct buf *why)
{
	enum mx_err err = privileges_folder(p, c->spool.path, 0700, why);

	if (err == MX_OK)
		err = make_folder_of(p, c->control_path, why);
	if (err == MX_OK && !value_is_endpoint(c->web.listen))
		err = make_folder_of(p, c->web.listen, why);
	return err;
}

static uint64_t raise_files(const struct config *c)
{
	uint64_t wanted = (uint64_t)c->limits.connections + OTHER_FILES;
	uint64_t have = privileges_raise_files(wanted);

	if (have < wanted)
		log_warn(EV_CONFIG, LOG_INT("files", have),
			 LOG_INT("wanted", wanted),
			 LOG_STR("warning", "limits.connections cannot be "
					    "reached with so few descriptors"));
	return have;
}

/* Clients must not take the descriptors that mail needs to leave. */
static size_t most_sessions(uint64_t files)
{
	uint64_t other = files / 4;

	if (other < OTHER_FILES_MIN)
		other = OTHER_FILES_MIN;
	if (other > OTHER_FILES)
		other = OTHER_FILES;
	if (other > files / 2)
		other = files / 2;
	return (size_t)(files - other);
}

/* Of what clients do not have; the rest is the resolver's and the spool's. */
static unsigned most_links(uint64_t files)
{
	return (unsigned)((files - most_sessions(files)) / 4 * 3);
}

static void set_shares(struct daemon *d, uint64_t files)
{
	d->most_sessions = most_sessions(files);
	d->most_links = most_links(files);
}

int daemon_prepare(struct daemon *d, struct buf *why)
{
	const struct config *c = d->config;
	struct privileges p;

	if (privileges_plan(&p, c, why) != MX_OK)
		return EX_CONFIG;
	if (sockets_open(&d->sockets, c, why) != MX_OK ||
	    make_folders(&p, c, why) != MX_OK ||
	    local_listen(c->control_path, &d->control_fd, why) != MX_OK ||
	    web_bind(c->web.listen, &d->web_fd, why) != MX_OK)
		return EX_OSERR;
	set_shares(d, raise_files(c));
	if (privileges_drop(&p, why) != MX_OK)
		return EX_OSERR;
	return EX_OK;
}
