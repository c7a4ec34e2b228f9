/* Every key of mx20.conf in one table: what it is, its range, its default. */
#ifndef MX_CONFIG_OPTIONS_H
#define MX_CONFIG_OPTIONS_H

#include "config/config.h"
#include "config/value/kind.h"

extern const struct option config_options[];
extern const size_t config_option_count;

/* The keys of one element of listen, into struct config_listen. */
extern const struct option listen_options[];
extern const size_t listen_option_count;
/* Of one group of policy.dnsbl, into struct config_dnsbl. */
extern const struct option dnsbl_options[];
extern const size_t dnsbl_option_count;

/* Append "user: a restart is needed", a line for each setting that differs and
 * is looked at once, at the start. */
void options_need_restart(const struct config *was, const struct config *is,
			  struct buf *notes);

#endif
