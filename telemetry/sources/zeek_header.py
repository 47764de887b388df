"""What the comment lines of a Zeek log in TSV say of its rows. Source: Zeek manual, "Zeek Log Formats"."""

from __future__ import annotations

from typing import NamedTuple

from telemetry.sources.zeek_record import unescape


class Header(NamedTuple):
    """What the comment lines of a TSV log say of its rows."""

    separator: str = "\t"
    unset: str = "-"
    empty: str = "(empty)"
    path: str = ""
    fields: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, str]:
        """Cells that tell nothing."""
        return self.unset, self.empty

    @property
    def text(self) -> str:
        """Comment lines that say this."""
        escaped = "".join(f"\\x{ord(letter):02x}" for letter in self.separator)
        told = (("unset_field", self.unset), ("empty_field", self.empty), ("path", self.path), ("fields", *self.fields))
        lines = [f"#separator {escaped}", *("#" + self.separator.join(words) for words in told)]
        return "".join(line + "\n" for line in lines)

    def after(self, line: str) -> Header:
        """With what one more comment line says; a new log's rows need a new line of fields."""
        if line.startswith("#separator "):
            return self._replace(separator=unescape(line[len("#separator ") :]) or "\t")
        key, _, value = line.partition(self.separator)
        match key:
            case "#unset_field":
                return self._replace(unset=value)
            case "#empty_field":
                return self._replace(empty=value)
            case "#path":
                return self._replace(path=value, fields=())
            case "#fields":
                return self._replace(fields=tuple(value.split(self.separator)))
        return self
