# A policy with a mistake on its eighth line: the name is not defined anywhere.
package portcullis.access

import rego.v1

deny contains "after_hours" if {
	input.action == "POST"
	hour_of_day > 20
}
