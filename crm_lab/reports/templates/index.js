(function(){
var form=document.getElementById("filters"),rows=Array.from(document.querySelectorAll("#runs tr"));
var words=document.getElementById("words"),kind=document.getElementById("kind"),status=document.getElementById("status");
var texts=rows.map(function(row){return row.textContent.toLowerCase();});
function apply(){
var asked=words.value.toLowerCase().split(/\s+/).filter(Boolean),shown=0;
rows.forEach(function(row,i){
var fits=(!kind.value||row.dataset.kind===kind.value)&&(!status.value||row.dataset.status===status.value)&&asked.every(function(word){return texts[i].includes(word);});
row.hidden=!fits;if(fits){shown+=1;}
});
document.getElementById("no-match").hidden=shown>0;
}
form.hidden=false;
form.addEventListener("input",apply);
form.addEventListener("submit",function(event){event.preventDefault();});
}());
