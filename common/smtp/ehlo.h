/* What a server said to EHLO: RFC 5321 section 4.1.1.1, RFC 9422. */
#ifndef MX_SMTP_EHLO_H
#define MX_SMTP_EHLO_H

#include "common/smtp/command.h"
#include "common/smtp/reply.h"

struct smtp_ehlo {
	unsigned offered;   /* SMTP_EXT_ bits */
	uint64_t size;      /* 0: no limit said */
	uint32_t mail_max;  /* RFC 9422; 0: not said */
	uint32_t rcpt_max;
	char host[256];     /* the name it greets with */
};

/* Parse the 250 reply to EHLO.  Unknown keywords are ignored. */
void smtp_ehlo_parse(const struct smtp_reply *r, struct smtp_ehlo *out);

/* The offered extensions as text, "PIPELINING SIZE=1000 8BITMIME". */
void smtp_ehlo_print(struct buf *out, const struct smtp_ehlo *e);
/* What of it such a text says: the extensions, and SIZE's limit. */
void smtp_ehlo_recall(struct span text, struct smtp_ehlo *out);

/* The reply to EHLO of a server of that name that offers this. */
void smtp_ehlo_write(struct buf *out, struct span host,
		     const struct smtp_ehlo *e);

/* SMTP_EXT_ bits of what mx20 offers where it can. */
unsigned smtp_ehlo_ours(void);

#endif
