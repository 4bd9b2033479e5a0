"""How values are written for people: lines of text, tables of HTML, small pictures. Knows numbers and strings, no trials."""
