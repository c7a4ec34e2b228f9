/* What the page looks like: a style sheet and an icon, in pieces. */
#ifndef MX_WEB_STYLE_H
#define MX_WEB_STYLE_H

extern const char *const style_css[], *const style_icon[]; /* NULL ends */

#endif
