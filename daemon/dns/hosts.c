#include "daemon/dns/hosts.h"

#include <stdio.h>

#include "common/base/buf.h"

enum { FILE_MAX = 1 << 20 };

struct hosts_row {
	struct span name;
	struct net_addr addr;
};

static void read_file(struct buf *text, const char *path)
{
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return;
	text->n += fread(buf_reserve(text, FILE_MAX), 1, FILE_MAX, f);
	(void)fclose(f);
}

static struct span next_word(struct span *line)
{
	struct span word;

	*line = span_trim(*line);
	word = *line;
	for (word.n = 0; word.n < line->n; word.n++)
		if (word.p[word.n] == ' ' || word.p[word.n] == '\t')
			break;
	*line = span_skip(*line, word.n);
	return word;
}

/* The names of one line; with no room for them: how many. */
static size_t read_line(struct hosts *h, struct span line,
			struct hosts_row *rows)
{
	struct net_addr addr;
	struct span name;
	size_t n = 0;

	line = span_cut(&line, '#');
	if (net_addr_parse(next_word(&line), &addr) != MX_OK)
		return 0;
	while ((name = next_word(&line)).n > 0) {
		if (name.p[name.n - 1] == '.')
			name.n--;
		if (rows != NULL)
			rows[n] =
				(struct hosts_row){ arena_span(&h->arena, name),
						    addr };
		n++;
	}
	return n;
}

static size_t read_lines(struct hosts *h, struct span text,
			 struct hosts_row *rows)
{
	size_t n = 0;

	while (text.n > 0) {
		struct span line = span_cut(&text, '\n');

		n += read_line(h, line, rows != NULL ? rows + n : NULL);
	}
	return n;
}

void hosts_refresh(struct hosts *h, const char *path)
{
	struct buf text = { 0 };
	struct stamp now;

	stamp_take(&now, path);
	if (stamp_eq(&now, &h->stamp))
		return;
	hosts_fini(h);
	h->stamp = now;
	read_file(&text, path);
	h->count = read_lines(h, buf_span(&text), NULL);
	h->rows = arena_alloc_array(&h->arena, h->count, sizeof(*h->rows));
	(void)read_lines(h, buf_span(&text), h->rows);
	buf_fini(&text);
}

void hosts_fini(struct hosts *h)
{
	arena_reset(&h->arena);
	*h = (struct hosts){ 0 };
}

size_t hosts_find(const struct hosts *h, struct span name,
		  struct net_addr *addrs, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < h->count && n < max; i++)
		if (span_ieq(h->rows[i].name, name))
			addrs[n++] = h->rows[i].addr;
	return n;
}
