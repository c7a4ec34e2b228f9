/* A disk that begins to write while there is more to come. */
#ifndef MX_SPOOL_WRITEBACK_H
#define MX_SPOOL_WRITEBACK_H

struct writeback;

/*
 * Until writeback_end the disk is asked again and again to write what the file
 * has, so that a flush finds little left to do.  It promises nothing: what is
 * to last is to be flushed, and a write that fails is told by that flush.
 *
 * *wb is NULL at first, and for the writer alone.  Where there is no thread to
 * be had it stays so, and the flush does it all.
 */
void writeback_begin(struct writeback **wb, int fd);
void writeback_end(struct writeback *wb);
/* The file must be open still, and nothing be under way. */
void writeback_free(struct writeback **wb);

#endif
