# Makes cooltwin@.service of cooltwin.service, so that they cannot drift apart:
#
#     sed -f systemd/template.sed systemd/cooltwin.service >'systemd/cooltwin@.service'
#
# systemd/check.sh compares the two.
s/(cooltwin)$/(cooltwin, %i)/
s|/etc/cooltwin/cooltwin\.|/etc/cooltwin/%i.|
/^EnvironmentFile=/i\
# Name in topics and client id; two of one name would take the broker from each other. Wins over instance.name.\
Environment=COOLTWIN__INSTANCE__NAME=%i
# Without a name of its own all instances would be one user, and could read each other's state and passwords.
/^DynamicUser=/i\
# An instance is a user of its own, so its name can have small letters, digits, "-" and "_", 22 at most.\
User=cooltwin-%i
# Beside, not below /var/lib/cooltwin: that belongs to the user of cooltwin.service alone.
s/^StateDirectory=cooltwin$/StateDirectory=cooltwin-%i/
