/* /etc/hosts as people and programs write it. */
#include <criterion/criterion.h>

#include "daemon/dns/hosts.h"
#include "tests/support/folder.h"

static struct folder folder;
static struct hosts hosts;

static void setup(void)
{
	folder_make(&folder);
}

static void teardown(void)
{
	hosts_fini(&hosts);
	folder_remove(&folder);
}

TestSuite(hosts, .init = setup, .fini = teardown);

static void read_text(const char *text)
{
	hosts_refresh(&hosts, folder_write(&folder, "hosts", text));
}

static void expect(const char *name, const char *want)
{
	struct net_addr addrs[4];
	struct buf got = { 0 };
	size_t n = hosts_find(&hosts, span_str(name), addrs, 4);

	for (size_t i = 0; i < n; i++) {
		buf_adds(&got, i > 0 ? " " : "");
		net_addr_add(&got, &addrs[i]);
	}
	cr_expect_str_eq(buf_cstr(&got), want, "%s", name);
	buf_fini(&got);
}

Test(hosts, lines)
{
	read_text("# comment\n"
		  "192.0.2.1\tmail.example  mail # its name, and nick\n"
		  "\n"
		  "  2001:db8::1 Mail.Example.\n"
		  "fe80::1%lo0 localhost\n" /* not everywhere an address */
		  "no-address gone.example\n"
		  "192.0.2.7\n"
		  "192.0.2.9 last.example"); /* cut */
	expect("mail.example", "192.0.2.1 2001:db8::1");
	expect("mail", "192.0.2.1");
	expect("nick", "");
	expect("gone.example", "");
	expect("last.example", "192.0.2.9");
	expect("", "");
}

Test(hosts, many_addresses)
{
	read_text("192.0.2.1 m\n192.0.2.2 m\n192.0.2.3 m\n"
		  "192.0.2.4 m\n192.0.2.5 m\n");
	expect("m", "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4");
}

Test(hosts, changes_are_seen)
{
	read_text("192.0.2.1 a\n");
	expect("a", "192.0.2.1");
	read_text("192.0.2.1 b.example\n");
	expect("a", "");
	expect("b.example", "192.0.2.1");
	hosts_refresh(&hosts, folder_path(&folder, "none"));
	expect("b.example", "");
}
