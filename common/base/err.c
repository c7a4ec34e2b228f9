#include "common/base/err.h"

#include <errno.h>

const char *mx_strerror(enum mx_err err)
{
	switch (err) {
	case MX_OK:
		return "success";
	case MX_ENOENT:
		return "not found";
	case MX_ESPACE:
		return "no space left";
	case MX_EIO:
		return "input/output error";
	case MX_EINVAL:
		return "malformed";
	case MX_ECORRUPT:
		return "stored record is damaged";
	case MX_EBUSY:
		return "in use";
	case MX_ENET:
		return "network failure";
	case MX_ETIME:
		return "timed out";
	case MX_EACCESS:
		return "permission denied";
	case MX_ESTOP:
		return "shutting down";
	case MX_ESYS:
		return "system failure";
	case MX_ESHARE:
		return "share used up";
	case MX_EQUOTA:
		return "quota used up";
	case MX_EMIRROR:
		return "the mirror is away";
	}
	return "unknown error";
}

enum mx_err mx_from_errno(int errnum)
{
	switch (errnum) {
	case 0:
		return MX_OK;
	case ENOENT:
		return MX_ENOENT;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return MX_ESPACE;
	case EIO:
		return MX_EIO;
	case EINVAL:
		return MX_EINVAL;
	case EBUSY:
	case EAGAIN:
	case EADDRINUSE:
		return MX_EBUSY;
	case ETIMEDOUT:
		return MX_ETIME;
	case EACCES:
	case EPERM:
	case EROFS:
		return MX_EACCESS;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EPIPE:
		return MX_ENET;
	default:
		return MX_ESYS;
	}
}
