/* What can go wrong in the world: disk, network, names. */
#ifndef MX_BASE_ERR_H
#define MX_BASE_ERR_H

/*
 * Every fallible call that meets the world returns one of these, MX_OK or
 * negative.  What a peer does wrong is a reply or a verdict, not an error;
 * what we do wrong is MX_ASSERT.
 */
enum mx_err {
	MX_OK = 0,
	MX_ENOENT = -1,   /* no such record, file or name */
	MX_ESPACE = -2,   /* quota, disk reserve or disk is used up */
	MX_EIO = -3,      /* the disk failed, or failed before: nothing more
			     is written until a restart */
	MX_EINVAL = -4,   /* malformed input */
	MX_ECORRUPT = -5, /* a stored record does not decode */
	MX_EBUSY = -6,    /* somebody else has it */
	MX_ENET = -7,     /* connection refused, lost or unreachable */
	MX_ETIME = -8,    /* deadline passed */
	MX_EACCESS = -9,  /* the system does not permit it */
	MX_ESTOP = -10,   /* shutting down */
	MX_ESYS = -11,    /* any other failure of the system */
	MX_ESHARE = -12,  /* one's part of what is nearly used up is */
	MX_EQUOTA = -13,  /* more than was granted */
	MX_EMIRROR = -14, /* the second copy cannot be made now */
};

/* A short English phrase, static, never NULL. */
const char *mx_strerror(enum mx_err err);

/* Translate an errno value; the border to the system calls. */
enum mx_err mx_from_errno(int errnum);

#endif
