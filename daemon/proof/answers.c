#include "daemon/proof/answers.h"

enum dns_type answers_type(enum spf_type type)
{
	static const enum dns_type types[] = {
		[SPF_TXT] = DNS_TXT,   [SPF_A] = DNS_A,	    [SPF_AAAA] = DNS_AAAA,
		[SPF_MX] = DNS_MX,     [SPF_PTR] = DNS_PTR,
	};

	return types[type];
}

static bool read_record(struct arena *a, enum spf_type type, struct span rdata,
			struct spf_record *out)
{
	unsigned preference;

	switch (type) {
	case SPF_TXT: return dns_read_txt(a, rdata, &out->text);
	case SPF_MX: return dns_read_mx(a, rdata, &preference, &out->text);
	case SPF_PTR: return dns_read_ptr(a, rdata, &out->text);
	case SPF_A:
	case SPF_AAAA: break;
	}
	return dns_read_addr(answers_type(type), rdata, &out->addr);
}

void answers_read(struct arena *a, enum spf_type type,
		  const struct dns_answer *dns, struct spf_answer *out)
{
	struct spf_record *records;

	*out = (struct spf_answer){ .status = SPF_UNKNOWN };
	if (dns->status == DNS_NODATA || dns->status == DNS_NXDOMAIN)
		out->status = SPF_VOID;
	if (dns->status != DNS_OK || dns->count == 0)
		return;
	records = arena_alloc_array(a, dns->count, sizeof(*records));
	for (size_t i = 0; i < dns->count; i++)
		if (read_record(a, type, dns->rdata[i], &records[out->count]))
			out->count++;
	out->records = records;
	if (out->count > 0)
		out->status = SPF_FOUND;
}
